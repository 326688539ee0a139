"""How a tenant's schema and role are called. Pure; tenancy.py is the only user beside set-up."""

from typing import Final

SCHEMA_PLACEHOLDER: Final = "tenant"
"""Schema name in SQLAlchemy's tables; it never exists, so a missing translation fails loudly."""


def schema_of(tenant_no: int) -> str:
    """Return t_00042 for 42. Raises ValueError for what is no tenant number, before any SQL."""
    if type(tenant_no) is not int or not 0 < tenant_no < 10**9:
        raise ValueError(f"not a tenant number: {tenant_no!r}")
    return f"t_{tenant_no:05d}"


role_of = schema_of
"""A tenant's role bears the name of its schema."""
