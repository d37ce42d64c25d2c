"""The embedded stores: graph, queue, reports and changes, each one SQLite file under the home directory."""

from aiops.adapters.sqlite.changes import ChangeDB
from aiops.adapters.sqlite.graph import GraphDB
from aiops.adapters.sqlite.mirror import MirroredGraph
from aiops.adapters.sqlite.queue import QueueDB
from aiops.adapters.sqlite.store import StoreDB

__all__ = ["ChangeDB", "GraphDB", "MirroredGraph", "QueueDB", "StoreDB"]
