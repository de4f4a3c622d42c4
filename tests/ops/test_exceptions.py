"""The codes of errors, which runs store and JSON prints: they stay when a class gets a better name."""

from ops import exceptions
from ops.exceptions import OpsError, get_error_code

STORED_CODES = {
    "AllRowsFailed": "NoneSucceeds",
    "DeclarationChanged": "ChangedDeclaration",
    "InvalidTransition": "IllegalMove",
    "NonTerminating": "NeverShrinks",
    "WriteInReadOnlyTransaction": "WritesWhereItReads",
}


def test_an_error_is_stored_by_its_class_name_or_its_earlier_code() -> None:
    errors = {
        name: member
        for name, member in vars(exceptions).items()
        if isinstance(member, type) and issubclass(member, OpsError)
    }
    codes = {name: member.code for name, member in errors.items()}
    assert codes == {name: STORED_CODES.get(name, name) for name in errors}
    assert STORED_CODES.keys() < errors.keys()


def test_a_subclass_has_a_code_of_its_own() -> None:
    class Special(exceptions.NonTerminating):
        pass

    assert Special.code == "Special"


def test_an_error_that_is_not_of_kyndo_is_stored_by_its_class_name() -> None:
    assert get_error_code(ValueError("x")) == "ValueError"
    assert get_error_code(exceptions.NonTerminating("x")) == "NeverShrinks"
