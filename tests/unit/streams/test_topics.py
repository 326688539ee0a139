"""The enum, the files and the domain's words for topics say the same."""

import pytest

from services.domain import events
from services.domain.message import LANES
from services.streams.topics import FOLDER, LANE_TOPICS, TopicName, Topics, dead_topic, lane_topic


def test_every_file_has_its_name_in_the_enum_and_the_other_way_round():
    files = {path.stem for path in FOLDER.glob("*.yaml")}
    assert files == {topic.name for topic in Topics("", "local").all()} == set(TopicName)


def test_the_domain_announces_to_topics_that_exist():
    assert TopicName(events.MESSAGE_TOPIC) is TopicName.EVENT_MESSAGE
    assert TopicName(events.ACCOUNT_TOPIC) is TopicName.EVENT_ACCOUNT


def test_every_lane_of_the_domain_has_its_topic_the_most_urgent_first():
    assert list(LANE_TOPICS) == list(LANES)
    assert [lane_topic(lane) for lane in LANES] == [TopicName.SEND_URGENT, TopicName.SEND_NORMAL, TopicName.SEND_BULK]


@pytest.mark.parametrize("profile", ["local", "production"])
def test_the_lanes_have_equal_partition_counts(profile):
    topics = Topics("", profile)
    assert len({topics.partitions(topic) for topic in LANE_TOPICS.values()}) == 1


@pytest.mark.parametrize("profile", ["local", "production"])
def test_every_topic_has_a_partition_count_for_each_profile(profile):
    assert all(Topics("", profile).partitions(name) > 0 for name in TopicName)


def test_a_record_that_we_let_through_fits_the_brokers_limit_with_its_batch():
    for topic in Topics("", "local").all():
        assert topic.max_record_bytes + 10_000 < topic.max_message_bytes


def test_a_dead_letter_of_the_largest_raw_record_fits():
    topics = Topics("", "local")
    raw = topics.topic(TopicName.RAW).max_record_bytes
    assert topics.topic(TopicName.DEAD_NORMALISER).max_record_bytes >= raw + 10_000


def test_the_prefix_stands_before_topics_and_groups_and_is_taken_off_again():
    topics = Topics("run1.", "local")
    assert topics.full(TopicName.RAW) == "run1.wa.webhook.raw"
    assert topics.logical("run1.wa.webhook.raw") is TopicName.RAW
    assert topics.group("sender") == "run1.sender"


@pytest.mark.parametrize("room", ["normaliser", "sender", "notifier"])
def test_each_stream_room_has_a_dead_letter_topic(room):
    assert dead_topic(room) == f"wa.dead.{room}"


def test_topics_that_carry_promises_are_kept_for_thirty_days():
    short = {topic.name for topic in Topics("", "local").all() if topic.retention_hours < 30 * 24}
    assert short == {TopicName.REPLY}
