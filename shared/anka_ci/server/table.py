"""The one table of REST calls: which class answers which rows, on the controller's port and on the registry's.

The data plane (``/v2/``) is not in it; ``server.routes`` adds it. Nothing here knows HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping

from anka_ci.server import controller, health, instance_calls, issuer, keys, node_calls, openapi, registry
from anka_ci.server.call import Call

Table = Mapping[type, tuple[Call, ...]]
"""A class to the rows that its methods answer."""

CONTROLLER: Table = {
    controller.ControllerCalls: controller.CALLS,
    registry.RegistryCalls: registry.SEEN,
    node_calls.NodeCalls: node_calls.CALLS,
    instance_calls.InstanceCalls: instance_calls.CALLS,
    keys.Keys: keys.CONTROLLER,
    issuer.Issuer: issuer.CALLS,
    health.HealthCalls: health.CALLS,
    openapi.Description: openapi.CALLS,
}
REGISTRY: Table = {
    registry.RegistryCalls: registry.CALLS,
    keys.Keys: keys.REGISTRY,
    issuer.Issuer: issuer.CALLS,
    health.HealthCalls: health.CALLS,
    openapi.Description: openapi.CALLS,
}
