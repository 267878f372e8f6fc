"""Topologies and stacks: what a compose file says, and processes that run as it says."""

from harness.topology.compose import load_topology
from harness.topology.errors import MachineLacks, ProfileUnavailable, StackGone, StartFailed, TopologyError
from harness.topology.model import HealthCheck, RestartPolicy, Service, ServiceStatus, StackInfo, StackStatus, SupervisorEvent, Topology
from harness.topology.stack import Stack

__all__ = [
    "HealthCheck",
    "MachineLacks",
    "ProfileUnavailable",
    "RestartPolicy",
    "Service",
    "ServiceStatus",
    "Stack",
    "StackGone",
    "StackInfo",
    "StackStatus",
    "StartFailed",
    "SupervisorEvent",
    "Topology",
    "TopologyError",
    "load_topology",
]
