"""`doorward.yaml` and the environment -> one frozen Settings.

Lies above the adapters on purpose: they get plain values out of it, never the Settings.
"""

from doorward.settings.derived import (
    agent_token,
    deployment_key_file,
    index_file,
    issuers_of,
    read_policy_files,
    read_secret,
    runtime_folder,
)
from doorward.settings.file import LoadedSettings, config_path, load_settings, parse_settings
from doorward.settings.schema import CredentialSettings, IssuerSettings, SecretSettings, Settings

__all__ = [
    "CredentialSettings",
    "IssuerSettings",
    "LoadedSettings",
    "SecretSettings",
    "Settings",
    "agent_token",
    "config_path",
    "deployment_key_file",
    "index_file",
    "issuers_of",
    "load_settings",
    "parse_settings",
    "read_policy_files",
    "read_secret",
    "runtime_folder",
]
