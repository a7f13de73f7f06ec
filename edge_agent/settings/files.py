"""Which files make a configuration, and where the ones that come with the product lie."""

from pathlib import Path

SITE, DEVICES, TARIFF, UPLINK = "site.yaml", "devices.yaml", "tariff.yaml", "uplink.yaml"
FILES = (SITE, DEVICES, TARIFF, UPLINK)
"""The files of a configuration folder, in the order in which an operator meets them."""


def shipped_config() -> Path:
    """The data that come with the product: `edge_agent/_config` in a wheel, `config/` in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "_config"
    return inside if inside.is_dir() else package.parent / "config"
