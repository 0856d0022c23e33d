from doorward.cli.flows import flows


def test_every_command_says_what_it_is_for() -> None:
    assert set(flows.commands) == {"list", "show", "follow", "export", "open", "replay", "resend"}
    for command in flows.commands.values():
        assert command.get_short_help_str().endswith(".")
