"""Whose message it is: contacts found by the names that an update gives, and never fused."""

import pytest

from services.domain.workset import Contact, IdentityKey, Workset

ANA_ID = IdentityKey("bsuid", "EC.100")
BEA_ID = IdentityKey("bsuid", "EC.200")
NUMBER = IdentityKey("wa_id", "593987654321")
OTHER_NUMBER = IdentityKey("wa_id", "593911111111")


def known(**contacts):
    """A workset in which these contacts hold these identities."""
    work = Workset()
    for name, keys in contacts.items():
        work.contacts[name] = Contact(name)
        work.identities.update(dict.fromkeys(keys, name))
    return work


def find(work, *presented, name=None, username=None):
    for key in presented:
        work.identities.setdefault(key, None)  # step 1 has put in a row for each
    return work.contact_for(presented, name, username)


def test_a_user_who_was_never_seen_gets_a_contact_named_after_his_strongest_identity():
    first, second = find(known(), ANA_ID, NUMBER), find(known(), ANA_ID)
    assert first.id == second.id
    assert first.id.startswith("cnt_")


def test_all_identities_of_a_new_contact_are_linked_to_it():
    work = known()
    contact = find(work, ANA_ID, NUMBER)
    assert work.identities == {ANA_ID: contact.id, NUMBER: contact.id}
    assert work.linked == {ANA_ID, NUMBER}
    assert work.new_contacts == {contact.id}


def test_a_user_who_is_known_changes_nothing():
    work = known(ana=[ANA_ID, NUMBER])
    assert find(work, ANA_ID, NUMBER).id == "ana"
    assert (work.linked, work.new_contacts, work.changed_contacts) == (set(), set(), set())


def test_a_user_without_a_number_is_found_by_the_bsuid_alone():
    assert find(known(ana=[ANA_ID, NUMBER]), ANA_ID).id == "ana"


def test_a_known_number_learns_its_first_bsuid():
    work = known(ana=[NUMBER])
    assert find(work, ANA_ID, NUMBER).id == "ana"
    assert work.identities[ANA_ID] == "ana"


def test_a_known_user_brings_a_new_number():
    work = known(ana=[ANA_ID, NUMBER])
    assert find(work, ANA_ID, OTHER_NUMBER).id == "ana"
    assert work.identities == {ANA_ID: "ana", NUMBER: "ana", OTHER_NUMBER: "ana"}


def test_a_number_that_changed_hands_follows_its_new_owner():
    work = known(ana=[ANA_ID, NUMBER])
    bea = find(work, BEA_ID, NUMBER)
    assert bea.id != "ana"
    assert work.identities == {ANA_ID: "ana", BEA_ID: bea.id, NUMBER: bea.id}
    assert {BEA_ID, NUMBER} == work.linked


def test_who_lost_the_number_keeps_the_contact():
    work = known(ana=[ANA_ID, NUMBER])
    find(work, BEA_ID, NUMBER)
    assert find(work, ANA_ID).id == "ana"


def test_the_bsuid_decides_and_two_known_contacts_are_never_fused():
    work = known(ana=[ANA_ID], bea=[BEA_ID, NUMBER])
    assert find(work, ANA_ID, NUMBER).id == "ana"
    assert work.identities[NUMBER] == "bea"
    assert work.linked == set()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("Ana", "ana.ec"), ("Ana", "ana.ec")),
        ((None, "ana.ec"), ("before", "ana.ec")),
        ((None, None), ("before", None)),
    ],
)
def test_a_name_is_updated_by_one_that_is_given_and_kept_when_none_is(given, expected):
    work = known(ana=[ANA_ID])
    work.contacts["ana"].name = "before"
    contact = find(work, ANA_ID, name=given[0], username=given[1])
    assert (contact.name, contact.username) == expected


def test_a_contact_is_written_only_when_its_name_really_changed():
    work = known(ana=[ANA_ID])
    work.contacts["ana"].name = "Ana"
    find(work, ANA_ID, name="Ana")
    assert work.changed_contacts == set()
    find(work, ANA_ID, name="Ana María")
    assert work.changed_contacts == {"ana"}


def test_a_new_contact_is_inserted_with_its_name_and_not_updated_as_well():
    work = known()
    contact = find(work, ANA_ID, name="Ana")
    assert (contact.name, work.changed_contacts) == ("Ana", set())


def test_there_is_one_conversation_per_account_and_contact():
    work = known(ana=[ANA_ID])
    ana = work.contacts["ana"]
    first = work.open_conversation("acc_1", ana, None)
    assert work.open_conversation("acc_1", ana, None) is first
    assert work.open_conversation("acc_2", ana, None) is not first
    assert len(work.new_conversations) == 2


def test_two_conversations_do_not_share_their_queues():
    work = known(ana=[ANA_ID])
    one, other = (work.open_conversation(account, work.contacts["ana"], None) for account in ("acc_1", "acc_2"))
    one.queues["normal"] = "msg_1"
    assert other.queues == {}


def test_sequence_is_drawn_from_the_conversation_without_a_gap():
    conversation = known(ana=[ANA_ID]).open_conversation("acc_1", Contact("ana"), None)
    assert [conversation.draw_sequence() for _ in range(3)] == [1, 2, 3]
    assert conversation.last_sequence == 3
