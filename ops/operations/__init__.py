"""Declare an operation: ``from ops.operations import Check, Operation, register``."""

from ops.operations.base import Check, Operation
from ops.operations.registry import register
from ops.operations.revert import Revert  # registers the engine's own

__all__ = ["Check", "Operation", "Revert", "register"]
