"""What answers behind the ports: registry, controller, fleet and instances over one state, wired to each other.

Knows no port, no thread and no TLS; those are ``server.app``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from anka_ci import __version__
from anka_ci.clock import Clock
from anka_ci.server import routes
from anka_ci.server.admission import Admitted
from anka_ci.server.agents import Agents
from anka_ci.server.controller import ControllerCalls
from anka_ci.server.faults import TEMPLATES_SINCE, Faults
from anka_ci.server.fleet import Fleet
from anka_ci.server.health import HealthCalls
from anka_ci.server.images import Images
from anka_ci.server.instance_calls import InstanceCalls
from anka_ci.server.instances import Instances
from anka_ci.server.ledger import Ledger
from anka_ci.server.node_calls import NodeCalls
from anka_ci.server.oci import Oci, Routes
from anka_ci.server.openapi import Description
from anka_ci.server.orders import Model
from anka_ci.server.registry import RegistryCalls
from anka_ci.server.state import State
from anka_ci.server.table import CONTROLLER, REGISTRY
from anka_ci.server.uploads import Uploads
from anka_ci.server.virtual import VirtualNodes


class Cloud:
    """Everything that answers, on the folder ``data``, whose launcher of the stand-in is ``anka``.

    ``nodes`` and ``virtual_nodes`` are names; ``registry_url`` is asked when it is told, because a port is known only
    once the server listens. ``start`` and ``stop`` the fleet, which works beside the answering.
    """

    def __init__(
        self,
        state: State,
        data: Path,
        admitted: Admitted,
        *,
        anka: str,
        nodes: Sequence[str],
        virtual_nodes: Sequence[str],
        groups: Mapping[str, Sequence[str]],
        run_guests: bool,
        faults: Faults,
        clock: Clock,
        registry_url: Callable[[], str],
    ) -> None:
        self._state, self._admitted = state, admitted
        befall = faults.nodes(clock.now())
        agents = Agents(
            data / "nodes",
            nodes,
            anka=anka,
            clock=clock,
            sign_in=admitted.children,
            keep=lambda request_id: self._fleet.keep(request_id),
            faults=befall,
        )
        model = Model.paced(faults.pace)
        virtual = VirtualNodes(state, virtual_nodes, state.manifest, clock=clock, model=model, faults=befall)
        tells_templates = not faults.lacks(TEMPLATES_SINCE)
        kinds = (agents, virtual)
        self._fleet = Fleet(state, kinds, groups, clock=clock, faults=befall, tells_templates=tells_templates)
        ledger = Ledger(state, clock)
        self._instances = Instances(
            ledger, self._fleet, agents, virtual, clock=clock, run_guests=run_guests, registry_url=registry_url
        )
        images = Images(state, ledger, self._instances, state.revert, clock=clock)
        self._parts = (
            ControllerCalls(state, self._fleet, faults.version or __version__, registry_url),
            RegistryCalls(state, __version__),
            NodeCalls(self._fleet),
            InstanceCalls(state, self._fleet, self._instances, images),
            admitted.keys,
            admitted.issuer,
            HealthCalls(),
        )

    def controller(self, fail_status: int, *, alone: bool) -> Routes:
        """What the controller's port answers; ``alone``: the registry has a port of its own."""
        described = (CONTROLLER,) if alone else (CONTROLLER, REGISTRY)
        found = routes.controller((*self._parts, Description(described)), fail_status)
        return found + routes.openid(self._admitted.issuer)

    def registry(self, fail_status: int) -> Routes:
        """What the registry's port answers, the data plane included."""
        parts = (*self._parts, Description((REGISTRY,)))
        return routes.registry(parts, Oci(self._state), Uploads(self._state), fail_status)

    def start(self, registry_url: str) -> None:
        """Start the nodes and take up what an earlier server left; ``registry_url`` is for them."""
        self._fleet.start(registry_url)
        self._instances.start()

    def stop(self) -> None:
        """End what the nodes and instances do, and wait for it."""
        self._instances.stop()
        self._fleet.stop()
