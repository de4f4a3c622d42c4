"""The settings, all from the environment; a `.env` beside manage.py stands in for what is not set there."""

import os
from datetime import timedelta
from pathlib import Path

from django.templatetags.static import static

from kyndo import __version__
from kyndo.cli import get_manage_command
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
# What stands before the name of a command wherever the reader is told what to type.
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
    "unfold",  # before the admin, whose site and templates it replaces
    "django.contrib.admin",
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
    "django.contrib.sessions.middleware.SessionMiddleware",
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

# Without DATABASE_URL and REDIS_URL, which production requires: the servers of `manage.py localservices`.
_postgres = read_state(LOCAL_SERVICES_ROOT / "postgres18" / "state.json")
_valkey = read_state(LOCAL_SERVICES_ROOT / "valkey" / "state.json")
_database_url = env.text("DATABASE_URL") or postgres_url(_postgres)
DATABASE_SCHEMA = parse_schema(_database_url)
DATABASES = {
    "default": {
        **parse_database_url(_database_url),
        # Not in development: runserver has a new thread, and so a new connection, for each request.
        "CONN_MAX_AGE": env.number("CONN_MAX_AGE", default=0 if DEBUG else 60),
        "CONN_HEALTH_CHECKS": True,
    }
}
# Where DATABASE_URL leads to a pooler: the server itself, for what needs a session. See docs/poolers.md.
_direct_url = env.text("DIRECT_DATABASE_URL")
DIRECT_DATABASE = parse_database_url(_direct_url, DATABASE_SCHEMA) if _direct_url else None
REDIS_URL = env.text("REDIS_URL") or redis_url(_valkey)
DEFAULT_EXCEPTION_REPORTER_FILTER = "kyndo.exception_filter.PasswordFilter"
RQ_QUEUES = {"default": {"URL": REDIS_URL}}
RQ_SHOW_ADMIN_LINK = False
RQ = {"WORKER_CLASS": "ops.workers.worker.RunWorker"}
# Seconds between two signs of life of a worker (three missed, it is gone), and those that it works on a run
# before others have a turn.
RUN_BEAT = env.number("RUN_BEAT", default=5)
RUN_SLICE = env.number("RUN_SLICE", default=60)
# That a run which begins by itself asks for.
FOLLOW_UP_WORKERS = env.number("FOLLOW_UP_WORKERS", default=2)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Where the engine holds its runs: docs/health.md.
OPS_HEALTH = HealthLimits.from_environ(os.environ)

USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "kyndo.formats"

STATIC_URL = "static/"
STATIC_ROOT = env.folder("STATIC_ROOT", default="var/static")
MEDIA_URL = "media/"
MEDIA_ROOT = env.folder("MEDIA_ROOT", default="var/media")
# What the workers export is no picture: nobody may fetch it but through the admin.
EXPORT_ROOT = env.folder("EXPORT_ROOT", default="var/exports")
EXPORT_PARTS = "cards.exports.parts.catalogue"
_STATIC = "django.contrib.staticfiles.storage.StaticFilesStorage"
# Where the files lie: on the disk at MEDIA_ROOT, or in a bucket, for which django-storages[s3] is installed.
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
# Folders with pg_dump, pg_restore and psql, looked into before the usual places.
PG_BIN: list[str] = [*filter(None, env.text("PG_BIN").split(os.pathsep))]
# A run is executed only where a verified backup is not older than this; None asks for none.
_backup_hours = env.number("BACKUP_MAX_AGE_HOURS", default=0 if DEBUG else 24)
OPS_BACKUP_MAX_AGE = timedelta(hours=_backup_hours) or None

LOG_DIR = env.folder("LOG_DIR", default="logs")
LOG_LEVEL = env.text("LOG_LEVEL", default="WARNING").upper()

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

UNFOLD = {
    "SITE_TITLE": "KYNDO",
    "SITE_HEADER": "KYNDO",
    "SITE_URL": None,
    "SITE_SYMBOL": "style",
    "SHOW_VIEW_ON_SITE": False,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("kyndo/icon.svg")}
    ],
}
# The strictest policy that unfold runs under: Alpine evaluates its attributes, and sets styles.
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
    # A command tells of its run itself: on its stderr the events are only for who asks.
    "filters": {"no_event": {"()": "django.utils.log.CallbackFilter", "callback": is_not_event}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "plain",
            "filters": [] if LOG_LEVEL in ("DEBUG", "INFO") else ["no_event"],
        },
        "application": {"()": ApplicationLogHandler, "folder": Path(LOG_DIR)},
    },
    # psycopg warns of what fails while another error is under way, as a rollback on a lost connection.
    "loggers": {EVENT_LOGGER: {"level": "INFO"}, "psycopg": {"level": "ERROR"}},
    "root": {"handlers": ["console", "application"], "level": LOG_LEVEL},
}

# HTTPS everywhere but in development. Behind a proxy that ends TLS, and strips this header from its clients,
# set TRUST_PROXY=on; without it the redirect to HTTPS would never end.
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=not DEBUG)
# Who reads these comes from inside, past the proxy: a redirect would lead nowhere.
SECURE_REDIRECT_EXEMPT = [r"^metrics$", r"^api/admin/queue/stats$"]
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", default=0 if DEBUG else 365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_HSTS_SECONDS > 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
if env.flag("TRUST_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
