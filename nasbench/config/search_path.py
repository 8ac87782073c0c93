"""The user's configuration files on Hydra's search path, after ours."""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from nasbench.config.locate import user_dir


class UserConfigs(SearchPathPlugin):  # type: ignore[misc]  # Hydra is untyped to mypy
    """Adds the folder that $NASBENCH_CONFIGS names.

    As an override, `hydra.searchpath=[...]`, a path would go through Hydra's grammar, which has a meaning for
    commas, brackets and spaces.
    """

    def manipulate_search_path(self, search_path: Any) -> None:
        """Called by Hydra whenever it begins to compose."""
        folder = user_dir()
        if folder is not None:
            search_path.append("$NASBENCH_CONFIGS", f"file://{folder}")


def add_user_configs() -> None:
    """Let Hydra find the user's files too; to call it again changes nothing."""
    Plugins.instance().register(UserConfigs)
