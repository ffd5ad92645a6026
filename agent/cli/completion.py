"""Completion scripts for bash, zsh and fish, made from the parsers themselves."""

from __future__ import annotations

import argparse
import contextlib
import shlex

from agent.cli.main import EVERYDAY, FURTHER, parser_of
from agent.errors import AgentError, UsageError

_FILES = frozenset({"file", "output", "home"})
_SERVICES = frozenset({"service", "allow_restart", "eject"})


def complete(words: list[str]) -> int:
    """Print a shell's script (`--completion SHELL`) or the services there are (`--complete-services`)."""
    if words[0] == "--complete-services":
        print("\n".join(_services()))
        return 0
    makers = {"bash": bash, "zsh": zsh, "fish": fish}
    if len(words) != 2 or words[1] not in makers:
        raise UsageError("which shell?", hint="refnet-agent --completion bash|zsh|fish")
    print(makers[words[1]](), end="")
    return 0


def bash() -> str:
    """Return the script for bash: `source <(refnet-agent --completion bash)`."""
    cases = "\n".join(f"    {verb}) words={shlex.quote(' '.join(_words(verb)))} ;;" for verb in _verbs())
    return f"""# bash completion of refnet-agent: source <(refnet-agent --completion bash)
_refnet_agent() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words={shlex.quote(" ".join(("--help", "--version", *_verbs())))}
    COMPREPLY=($(compgen -W "$words" -- "$current")); return
  fi
  case "$before" in {"|".join(_options(_FILES))}) COMPREPLY=($(compgen -f -- "$current")); return ;; esac
  case "${{COMP_WORDS[1]}} $before" in
{_choice_cases()}
  esac
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  case "$current" in -*) ;; *) words="$words $(refnet-agent --complete-services 2>/dev/null)" ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -F _refnet_agent refnet-agent
"""


def zsh() -> str:
    """Return the script for zsh: a file `_refnet-agent` in $fpath, or `source <(…)` after compinit."""
    verbs = "\n".join(f"    {shlex.quote(f'{verb}:{text}')}" for verb, text in _verbs().items())
    cases = "\n".join(f"    {verb}) offered=({shlex.join(_words(verb))}) ;;" for verb in _verbs())
    return f"""#compdef refnet-agent
# zsh completion of refnet-agent: source <(refnet-agent --completion zsh)
_refnet_agent() {{
  local -a verbs offered
  verbs=(
{verbs}
  )
  if (( CURRENT == 2 )); then _describe verb verbs; return; fi
  case "$words[CURRENT-1]" in {"|".join(_options(_FILES))}) _files; return ;; esac
  case "$words[2]" in
{cases}
  esac
  [[ "$PREFIX" == -* ]] || offered+=(${{(f)"$(refnet-agent --complete-services 2>/dev/null)"}})
  compadd -- $offered
}}
compdef _refnet_agent refnet-agent
"""


def fish() -> str:
    """Return the script for fish: `refnet-agent --completion fish | source`."""
    lines = [
        "# fish completion of refnet-agent: refnet-agent --completion fish | source",
        "complete -c refnet-agent -f",
    ]
    for verb, text in _verbs().items():
        lines.append(f"complete -c refnet-agent -n __fish_use_subcommand -a {verb} -d {shlex.quote(text)}")
        seen = f"'__fish_seen_subcommand_from {verb}'"
        for action in _actions(verb):
            lines.append(_fish_line(action, seen))
    return "\n".join(line for line in lines if line) + "\n"


def _fish_line(action: argparse.Action, seen: str) -> str:
    words = ["complete -c refnet-agent -n", seen]
    words += [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in action.option_strings]
    if action.choices:
        words.append(f"{'-x' if action.option_strings else ''} -a {shlex.quote(' '.join(map(str, action.choices)))}")
    elif action.dest in _FILES:
        words.append("-r -F")
    elif action.dest in _SERVICES:
        words.append(f"{'-x' if action.option_strings else ''} -a '(refnet-agent --complete-services 2>/dev/null)'")
    elif not action.option_strings:
        return ""
    if action.help:
        words.append(f"-d {shlex.quote(action.help)}")
    return " ".join(" ".join(words).split())


def _verbs() -> dict[str, str]:
    return EVERYDAY | FURTHER


def _actions(verb: str) -> list[argparse.Action]:
    return parser_of(verb)._actions


def _words(verb: str) -> list[str]:
    options = [name for action in _actions(verb) for name in action.option_strings]
    choices = [str(each) for action in _actions(verb) if not action.option_strings for each in action.choices or ()]
    return options + choices


def _options(names: frozenset[str]) -> list[str]:
    found = {
        option
        for verb in _verbs()
        for action in _actions(verb)
        if action.dest in names
        for option in action.option_strings
    }
    return sorted(found)


def _choice_cases() -> str:
    lines = []
    for verb in _verbs():
        for action in _actions(verb):
            for option in action.option_strings if action.choices else ():
                words = shlex.quote(" ".join(map(str, action.choices or ())))
                lines.append(f'    "{verb} {option}") COMPREPLY=($(compgen -W {words} -- "$current")); return ;;')
    return "\n".join(lines)


def _services() -> list[str]:
    from agent.operations.releases import latest  # noqa: PLC0415
    from agent.operations.stack import default_home  # noqa: PLC0415 - the scripts themselves need no home

    with contextlib.suppress(AgentError, OSError):
        release = latest(default_home(None))
        return [each.name for each in release.desired.services] if release else []
    return []
