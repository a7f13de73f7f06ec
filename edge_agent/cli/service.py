"""Asks the running service on behalf of a verb: the state folder comes from the configuration."""

from edge_agent import local_api
from edge_agent.cli.common import Common
from edge_agent.settings.load import load_site


def ask(common: Common, verb: str, **arguments: object) -> dict[str, object]:
    """Asks the service of this configuration and returns its answer.

    Raises:
        ConfigurationFault: the site file cannot be used.
        ServiceUnreachable: no service answers.
        RefusedByInterlock: the service refused; the message gives the reason.
    """
    return local_api.ask(load_site(common.config).storage_media.state_dir, verb, **arguments)
