FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATIC_ROOT=/srv/static \
    MEDIA_ROOT=/srv/media \
    EXPORT_ROOT=/srv/exports \
    UPLOAD_ROOT=/srv/uploads \
    BACKUP_DIR=/srv/backups \
    LOG_DIR=/srv/logs

WORKDIR /app
# pg_dump of the same version as the server of docker-compose.yml; Debian's own is older.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates postgresql-common \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && apt-get install -y --no-install-recommends postgresql-client-18 && rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt && python -m compileall -q /usr/local/lib/python3.13/site-packages
COPY . .
# These settings are not kept in the image: Django needs them to load.
RUN useradd --system --no-create-home kyndo \
    && mkdir -p /srv/static /srv/media /srv/exports /srv/uploads /srv/backups /srv/logs && chown kyndo /srv/* \
    && DEBUG=off SECRET_KEY=build ADMIN_KEY=build ALLOWED_HOSTS=build \
       DATABASE_URL=postgres://build REDIS_URL=redis://build LOG_DIR=/tmp/logs \
       python manage.py collectstatic --noinput
USER kyndo

EXPOSE 8000
# Threads: without them a download longer than 30 s would be cut off, and would block other requests. gunicorn's
# heartbeat file must not be on a disk; the format of the access log is the default.
CMD ["gunicorn", "kyndo.wsgi", "--bind=0.0.0.0:8000", "--workers=2", "--threads=4", "--worker-tmp-dir=/dev/shm", "--access-logfile=-"]
