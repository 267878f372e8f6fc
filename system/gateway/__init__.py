"""The HTTP face of the platform: FastAPI under ``/v1``, API keys with scopes, RFC 9457 problems, OpenAPI 3.1."""
