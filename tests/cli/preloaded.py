"""What the command imports and reads sooner or later; see tests/fork_server.py."""

# ruff: noqa: F401

import textual.drivers.linux_driver
import textual.layouts.factory
import textual.pilot

import cli.work.open_session
import inference.openai_engine.engine
import prompts
import tests.cli.child

for name in prompts.names():
    prompts.load(name)
