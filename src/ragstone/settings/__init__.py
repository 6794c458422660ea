"""Settings: frozen sections, read once, with the origin of every value.

Sources, each overriding the one before: defaults, one TOML file (`--config`, else RAGSTONE_CONFIG, else
./ragstone.toml, else the user's own ~/.config/ragstone/config.toml), environment variables
(RAGSTONE_SECTION__KEY, and RAGSTONE_DATA for `data.folder`), flags. An unknown key, a wrong type, a value out of
range or a contradiction raises SettingsError, which names the key and the place. Nothing here reads the process
environment: callers pass it in.

`docs/settings.md` is generated from the sections below.
"""

from __future__ import annotations

from .documents import DataSettings as DataSettings
from .documents import EmbeddingSettings as EmbeddingSettings
from .documents import IngestSettings as IngestSettings
from .loading import load as load
from .models import BudgetSettings as BudgetSettings
from .models import CompareSettings as CompareSettings
from .models import GatewaySettings as GatewaySettings
from .models import ModelsSettings as ModelsSettings
from .models import ProviderSettings as ProviderSettings
from .places import default_data_folder as default_data_folder
from .places import find_file as find_file
from .places import user_file as user_file
from .questions import AnswerSettings as AnswerSettings
from .questions import CacheSettings as CacheSettings
from .questions import ChatSettings as ChatSettings
from .questions import GraphSettings as GraphSettings
from .questions import MemorySettings as MemorySettings
from .questions import SearchSettings as SearchSettings
from .sections import SECTIONS as SECTIONS
from .sections import TABLES as TABLES
from .sections import Settings as Settings
from .sections import at as at
from .sections import describe as describe
from .serving import JobsSettings as JobsSettings
from .serving import LogSettings as LogSettings
from .serving import OidcSettings as OidcSettings
from .serving import ServerSettings as ServerSettings
from .serving import TracingSettings as TracingSettings
from .values import expected as expected
