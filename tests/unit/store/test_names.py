"""How a tenant's schema and role are called."""

import pytest

from services.store.names import SCHEMA_PLACEHOLDER, role_of, schema_of


@pytest.mark.parametrize(("no", "name"), [(1, "t_00001"), (42, "t_00042"), (99999, "t_99999"), (123456, "t_123456")])
def test_a_schema_bears_its_tenant_s_number(no, name):
    assert schema_of(no) == role_of(no) == name


@pytest.mark.parametrize("no", [0, -1, 10**9, True, 1.0, "1", "1; DROP SCHEMA recado", None])
def test_what_is_no_tenant_number_never_reaches_sql(no):
    with pytest.raises(ValueError, match="not a tenant number"):
        schema_of(no)


def test_the_placeholder_is_no_tenant_s_schema():
    assert not SCHEMA_PLACEHOLDER.startswith("t_")
