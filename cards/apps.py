"""The configuration of the application."""

from django.apps import AppConfig


class CardsConfig(AppConfig):
    name = "cards"
