"""The settings, all from the environment; `.env` beside manage.py supplies the variables not set there."""

import os
from datetime import timedelta
from pathlib import Path

from django.templatetags.static import static

from kyndo import __version__
from kyndo.cli import get_application_name, get_manage_command
from kyndo.database import parse_database_url, parse_schema
from kyndo.env_validation import validate_environment
from kyndo.environment import Environment, read_env_file
from kyndo.localservices.state import postgres_url, read_state, redis_url
from kyndo.logs import EVENT_LOGGER, ApplicationLogHandler, is_not_event
from ops.health.limits import HealthLimits

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_SERVICES_ROOT = BASE_DIR / "var"

read_env_file(BASE_DIR / ".env", os.environ)
validate_environment(os.environ)
env = Environment(os.environ, BASE_DIR)

VERSION = __version__
# Goes before the name of each command in messages that say what to type.
OPS_MANAGE = env.text("MANAGE_COMMAND") or get_manage_command(BASE_DIR / "manage.py")
DEBUG = env.flag("DEBUG", default=False)

SECRET_KEY = env.text("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.items("SECRET_KEY_FALLBACKS")
ADMIN_KEY = env.text("ADMIN_KEY")
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "kyndo",
    "cards",
    "ops",
    "unfold.apps.BasicAppConfig",  # before the admin, whose templates it replaces
    "kyndo.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "pgtrigger",
    "csp",
    "django_rq",
]
MIDDLEWARE = [
    "ops.http.health.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "ops.http.statement_timeout.StatementTimeoutMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "kyndo.idle_sessions.IdleSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "ops.http.server_errors.DatabaseErrorMiddleware",
]
ROOT_URLCONF = "kyndo.urls"
WSGI_APPLICATION = "kyndo.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Wrong passwords after which a log-in has to wait: for one name from one address, and for all names from it.
LOGIN_ATTEMPTS_PER_NAME = env.number("LOGIN_ATTEMPTS_PER_NAME", default=10)
LOGIN_ATTEMPTS_PER_ADDRESS = env.number("LOGIN_ATTEMPTS_PER_ADDRESS", default=100)
LOGIN_WAIT = timedelta(minutes=env.number("LOGIN_WAIT_MINUTES", default=15))

# A session ends when it was not used for so long: kyndo.idle_sessions.
SESSION_COOKIE_AGE = 60 * env.number("SESSION_IDLE_MINUTES", default=60)

# The servers of `manage.py localservices` are the defaults; production requires DATABASE_URL and REDIS_URL.
_postgres = read_state(LOCAL_SERVICES_ROOT / "postgres18" / "state.json")
_valkey = read_state(LOCAL_SERVICES_ROOT / "valkey" / "state.json")
_database_url = env.text("DATABASE_URL") or postgres_url(_postgres)
DATABASE_SCHEMA = parse_schema(_database_url)
# Who a session is, in pg_stat_activity and where a column change lists who still writes by the old column.
_application_name = get_application_name(BASE_DIR / "manage.py")
DATABASES = {
    "default": {
        **parse_database_url(_database_url, application_name=_application_name),
        # 0 in development: runserver uses a new thread, and so a new connection, for each request.
        "CONN_MAX_AGE": env.number("CONN_MAX_AGE", default=0 if DEBUG else 60),
        "CONN_HEALTH_CHECKS": True,
    }
}
# How long one SQL statement of a page may take; None: as long as the role's own statement_timeout allows.
OPS_PAGE_STATEMENT_TIMEOUT = timedelta(seconds=env.number("PAGE_STATEMENT_TIMEOUT", default=30)) or None
# The server itself, for statements that need a session, if DATABASE_URL is a pooler: docs/poolers.md.
_direct_url = env.text("DIRECT_DATABASE_URL")
DIRECT_DATABASE = parse_database_url(_direct_url, DATABASE_SCHEMA, _application_name) if _direct_url else None
REDIS_URL = env.text("REDIS_URL") or redis_url(_valkey)
DEFAULT_EXCEPTION_REPORTER_FILTER = "kyndo.exception_filter.PasswordFilter"
RQ_QUEUES = {"default": {"URL": REDIS_URL}}
RQ_SHOW_ADMIN_LINK = False
RQ = {"WORKER_CLASS": "ops.workers.worker.RunWorker"}
# Seconds between heartbeats of a worker (after three missed ones it counts as dead), and the seconds that it
# works on one run before the next run's turn.
RUN_BEAT = env.number("RUN_BEAT", default=5)
RUN_SLICE = env.number("RUN_SLICE", default=60)
# Workers requested by a run that starts automatically.
FOLLOW_UP_WORKERS = env.number("FOLLOW_UP_WORKERS", default=2)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The limits at which the engine holds its runs: docs/health.md.
OPS_HEALTH = HealthLimits.from_environ(os.environ)

USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "kyndo.formats"

STATIC_URL = "static/"
STATIC_ROOT = env.folder("STATIC_ROOT", default="var/static")
MEDIA_URL = "media/"
MEDIA_ROOT = env.folder("MEDIA_ROOT", default="var/media")
# Exports of the workers. Not under MEDIA_ROOT: they are served only by the admin.
EXPORT_ROOT = env.folder("EXPORT_ROOT", default="var/exports")
EXPORT_PARTS = "cards.exports.parts.catalogue"
# Uploaded files until they are staged, how large one may be, in megabytes, and what reads them.
UPLOAD_ROOT = env.folder("UPLOAD_ROOT", default="var/uploads")
UPLOAD_MAX_BYTES = env.number("UPLOAD_MAX_MB", default=200) * 1_000_000
UPLOAD_READER = "cards.packs.upload.read_upload"
_STATIC = "django.contrib.staticfiles.storage.StaticFilesStorage"
# Files are stored under MEDIA_ROOT, or in a bucket, which needs django-storages[s3].
S3_BUCKET = env.text("S3_BUCKET")
_S3 = {"bucket_name": S3_BUCKET, "endpoint_url": env.text("S3_ENDPOINT_URL") or None}
STORAGES = {
    "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": _S3}
    if S3_BUCKET
    else {"BACKEND": "kyndo.storage.AtomicFileStorage"},
    "staticfiles": {
        "BACKEND": _STATIC if DEBUG else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

BACKUP_DIR = env.folder("BACKUP_DIR", default="backups")
# Folders with pg_dump, pg_restore and psql, searched before the usual ones.
PG_BIN: list[str] = [*filter(None, env.text("PG_BIN").split(os.pathsep))]
# Maximum age of the verified backup that a run requires; None: no backup is required.
_backup_hours = env.number("BACKUP_MAX_AGE_HOURS", default=0 if DEBUG else 24)
OPS_BACKUP_MAX_AGE = timedelta(hours=_backup_hours) or None

# A run of the admin over more rows waits for a second person, at most so long; None: no run does. Whether
# those of the command line wait, too.
OPS_APPROVAL_ROWS = env.number("APPROVAL_ROWS", default=10_000) or None
OPS_APPROVAL_EXPIRY = timedelta(hours=env.number("APPROVAL_EXPIRY_HOURS", default=24))
OPS_APPROVAL_COMMANDS = env.flag("APPROVAL_COMMANDS", default=False)

LOG_DIR = env.folder("LOG_DIR", default="logs")
LOG_LEVEL = env.text("LOG_LEVEL", default="WARNING").upper()

CSRF_FAILURE_VIEW = "kyndo.error_pages.csrf_failure"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

UNFOLD = {
    "LOGIN": {"form": "kyndo.login.LoginForm"},
    "SITE_TITLE": "KYNDO",
    "SITE_HEADER": "KYNDO",
    "SITE_URL": None,
    "SITE_SYMBOL": "style",
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"navigation": "kyndo.menu.build_menu", "show_search": True, "command_search": True},
    "STYLES": [lambda request: static("ops/site.css")],
    "SCRIPTS": [lambda request: static("ops/palette.js")],
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("kyndo/icon.svg")}
    ],
}
# The strictest policy that works with unfold: Alpine needs unsafe-eval and inline styles.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", *env.items("IMAGE_ORIGINS")],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    # A command reports its own run, so its events reach stderr only with LOG_LEVEL=INFO or DEBUG.
    "filters": {"no_event": {"()": "django.utils.log.CallbackFilter", "callback": is_not_event}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "plain",
            "filters": [] if LOG_LEVEL in ("DEBUG", "INFO") else ["no_event"],
        },
        "application": {"()": ApplicationLogHandler, "folder": Path(LOG_DIR)},
    },
    # psycopg logs warnings of secondary errors, such as a rollback on a lost connection.
    "loggers": {EVENT_LOGGER: {"level": "INFO"}, "psycopg": {"level": "ERROR"}},
    "root": {"handlers": ["console", "application"], "level": LOG_LEVEL},
}

# HTTPS except in development. Set TRUST_PROXY=on behind a proxy that terminates TLS and itself sets
# X-Forwarded-Proto and X-Forwarded-For; without it the redirect to HTTPS loops, and all have one address.
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=not DEBUG)
# Monitoring reads these without the proxy, over plain HTTP, where a redirect would fail.
SECURE_REDIRECT_EXEMPT = [r"^metrics$", r"^api/admin/queue/stats$"]
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", default=0 if DEBUG else 365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_HSTS_SECONDS > 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
TRUST_PROXY = env.flag("TRUST_PROXY", default=False)
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
