"""The conformance kit: what plugin authors run in their own CI to know that charpipe can use what they wrote.

from charpipe.testing import check_architecture

def test_keeps_the_contract():
    check_architecture(MY_ARCHITECTURE, hidden_size=8)
"""

from charpipe.testing.architectures import RULES, BrokenRule, broken_rules, check_architecture
from charpipe.testing.plugins import check_plugin, checked_rules
from charpipe.testing.rules import CheckedRule

__all__ = [
    "RULES",
    "BrokenRule",
    "CheckedRule",
    "broken_rules",
    "check_architecture",
    "check_plugin",
    "checked_rules",
]
