"""URLs that name several hosts: read as they are meant, and refused without telling what they have."""

import pytest

from billing_adapters.redis.client import open_redis
from billing_adapters.redis.places import RedisPlaces, places_of
from billing_adapters.settings import InvalidConfiguration
from billing_cli.configuration import mask_url


class TestPlacesOf:
    @pytest.mark.parametrize(
        ("url", "places"),
        [
            (
                "redis+sentinel://h1:26379,h2:26380/mymaster/2",
                RedisPlaces(kind="sentinel", tls=False, hosts=(("h1", 26379), ("h2", 26380)), service="mymaster", db=2),
            ),
            (
                "REDISS+sentinel://:p%40s%2Fs@h1, h2/my-master?sentinel_username=u&sentinel_password=q%26",
                RedisPlaces(
                    kind="sentinel",
                    tls=True,
                    hosts=(("h1", 26379), ("h2", 26379)),
                    service="my-master",
                    password="p@s/s",
                    sentinel_username="u",
                    sentinel_password="q&",
                ),
            ),
            (
                "redis+cluster://billing:secret@[::1]:7000,10.0.0.1/0",
                RedisPlaces(
                    kind="cluster",
                    tls=False,
                    hosts=(("::1", 7000), ("10.0.0.1", 6379)),
                    username="billing",
                    password="secret",
                ),
            ),
            ("rediss+cluster://h", RedisPlaces(kind="cluster", tls=True, hosts=(("h", 6379),))),
        ],
    )
    def test_reads_hosts_logins_and_service(self, url: str, places: RedisPlaces) -> None:
        """With the ports they have by custom, and passwords without their escapes."""
        assert places_of(url) == places

    @pytest.mark.parametrize(
        "url", ["redis://h:6379/0", "rediss://h", "unix:///run/redis", "", "redis+sentinels://h/m"]
    )
    def test_leaves_the_others_to_redis_py(self, url: str) -> None:
        """A URL of one server is read by the library, and refused by it where it is none."""
        assert places_of(url) is None

    def test_its_password_is_not_shown(self) -> None:
        """Neither of Redis nor of the sentinels."""
        places = places_of("redis+sentinel://:hidden-1@h/m?sentinel_password=hidden-2")

        assert "hidden" not in repr(places)

    def test_hosts_are_told_one_by_one(self) -> None:
        """For those who look at each, without a login."""
        places = places_of("rediss+cluster://u:p@[::1]:7000,h")

        assert places is not None
        assert places.urls == ("rediss://[::1]:7000", "rediss://h:6379")


class TestRefusals:
    @pytest.mark.parametrize(
        ("url", "told"),
        [
            ("redis+sentinel://:half/other@h1,h2/mymaster", "login that cannot be told"),
            ("redis+sentinel://:half?other@h1/mymaster", "cannot be read"),
            ("redis+sentinel://:half#other@h1/mymaster", "login that cannot be told"),
            ("redis+sentinel://h1,h2", "service's name"),
            ("redis+sentinel://h1,h2/", "service's name"),
            ("redis+sentinel://h1,h2/my/master", "service's name"),
            ("redis+sentinel://:half@h1:half/mymaster", "host that is none"),
            ("redis+sentinel://:half@h1:99999/mymaster", "host that is none"),
            ("redis+sentinel://h1,,h2/mymaster", "host that is none"),
            ("redis+sentinel:///mymaster", "host that is none"),
            ("redis+sentinel://half@h1/mymaster", "login without a password"),
            ("redis+sentinel://h1/mymaster?db=half", "sentinel_password"),
            ("redis+cluster://h1/1", "no database but 0"),
            ("redis+cluster://h1?ssl=half", "may be followed"),
            ("redis+cluster://[half", "cannot be read"),
            ("redis+cluster://", "host that is none"),
        ],
    )
    async def test_says_what_is_wrong_and_nothing_of_the_url(self, url: str, told: str) -> None:
        """With the form to write; what stands in it may be a part of the password."""
        with pytest.raises(InvalidConfiguration) as refused:
            async with open_redis(url):
                pass

        message = str(refused.value)
        assert told in message
        assert "BILLING_REDIS_URL" in message
        assert "redis+" in message
        assert not any(part in message for part in ("half", "other@", "h1"))

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("redis+sentinel://u:hidden@h1:1,h2/m/0", "redis+sentinel://u:********@h1:1,h2/m/0"),
            ("redis+sentinel://h/m?sentinel_password=hidden", "redis+sentinel://h/m?sentinel_password=********"),
            ("rediss+cluster://:hidden@h1,h2", "rediss+cluster://:********@h1,h2"),
        ],
    )
    def test_the_command_line_masks_them(self, url: str, shown: str) -> None:
        """`billing config show` hides both passwords and nothing else."""
        assert mask_url(url) == shown
