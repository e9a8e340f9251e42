from types import SimpleNamespace

import pytest

from limbeck.cli.main import main


@pytest.fixture
def limbeck(capsys):
    """Return a function that runs the command line here: ``limbeck("distill", path)`` gives code, out and err."""

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return SimpleNamespace(code=stop.value.code or 0, out=said.out, err=said.err)

    return run
