"""Declare an operation: ``from ops.operations import Check, Operation, register``."""

from ops.operations.apply_change_set import ApplyChangeSet  # registers the engine's own
from ops.operations.base import Check, Operation
from ops.operations.registry import register
from ops.operations.revert import Revert  # likewise

__all__ = ["ApplyChangeSet", "Check", "Operation", "Revert", "register"]
