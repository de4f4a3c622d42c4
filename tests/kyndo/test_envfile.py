from pathlib import Path

from kyndo.envfile import write_env_file


def test_the_file_is_for_its_owner_alone_and_holds_random_keys(tmp_path: Path) -> None:
    assert write_env_file(tmp_path / "a")
    assert write_env_file(tmp_path / "b")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    a, b = ((tmp_path / name).read_text().splitlines() for name in "ab")
    assert [line.partition("=")[0] for line in a[1:]] == ["DEBUG", "SECRET_KEY", "ADMIN_KEY"]
    assert a[1] == b[1] == "DEBUG=on"
    assert not set(a[2:]) & set(b[2:])


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("DEBUG=off\n")
    assert not write_env_file(path)
    assert path.read_text() == "DEBUG=off\n"
    assert list(tmp_path.iterdir()) == [path]
