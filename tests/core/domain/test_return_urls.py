"""Return URLs: merchants are sent back only to places the deployment names."""

import re
from contextlib import suppress
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_core.domain.return_urls import MAX_LENGTH, ReturnUrlPolicy
from billing_core.errors import InvalidRequest

LISTED = ReturnUrlPolicy(hosts=frozenset({"shop.example", "admin.shop.example"}))
DEVELOPMENT = ReturnUrlPolicy(hosts=frozenset({"shop.example"}), allow_loopback_http=True)


class TestReturnUrlPolicy:
    @pytest.mark.parametrize(
        "url",
        [
            "https://shop.example",
            "https://shop.example/back?id=1&x=%20#part",
            "HTTPS://SHOP.example:8443/",
            "https://admin.shop.example/a",
            f"https://shop.example/{ascii_letters}{digits}-._~!$&'()*+,;=:@%/?#",
        ],
    )
    def test_gives_an_allowed_url_back_as_it_was(self, url: str) -> None:
        """An https URL on a listed host is taken unchanged."""
        assert LISTED.check(url) == url

    def test_the_longest_url_allowed_is_taken(self) -> None:
        """The limit itself belongs to what is allowed."""
        longest = "https://shop.example/".ljust(MAX_LENGTH, "a")

        assert LISTED.check(longest) == longest

    @pytest.mark.parametrize(
        ("url", "told"),
        [
            ("https://shop.example/\n", "printable ASCII"),
            ("https://shop.example:x/", "absolute"),
            ("/back", "with a host"),
            ("https://user@shop.example/", "user information"),
            ("http://shop.example/", "https"),
            ("https://evil.example/", "host is not one of those allowed"),
        ],
    )
    def test_a_refusal_says_what_is_wrong(self, url: str, told: str) -> None:
        """Whoever wrote the client mends it without reading our code."""
        with pytest.raises(InvalidRequest) as refused:
            LISTED.check(url)

        assert told in refused.value.errors[0].detail

    def test_without_a_list_any_https_host_will_do(self) -> None:
        """An empty list of hosts allows every one, but still https only."""
        assert ReturnUrlPolicy().check("https://anything.example/") == "https://anything.example/"
        with pytest.raises(InvalidRequest):
            ReturnUrlPolicy().check("http://anything.example/")

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
    def test_development_also_allows_this_machine_over_http(self, host: str) -> None:
        """Loopback over http is allowed where a developer works, and only there."""
        url = f"http://{host}:3000/back"

        assert DEVELOPMENT.check(url) == url
        with pytest.raises(InvalidRequest):
            LISTED.check(url)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "/back",
            "//shop.example/",
            "shop.example",
            "https:shop.example",
            "https:///back",
            "https://",
            "http://shop.example/",
            "javascript://shop.example/%0aalert(1)",
            "data:text/html,x",
            "https://evil.example/",
            "https://shop.example.evil.example/",
            "https://shop.example./",
            "https://evil.example/https://shop.example",
            "https://user@shop.example/",
            "https://shop.example@evil.example/",
            "https://:@shop.example/",
            "https://evil.example\\@shop.example/",
            "https:\\\\shop.example/",
            "https://shop.example\\.evil.example/",
            "https://shop.example/\x00",
            "https://shop.example/\n",
            " https://shop.example/",
            "https://shop.example/\ud800",
            "https://shöp.example/",
            "https://shop.example/ü",
            "https://shop.example:99999/",
            "https://shop.example:x/",
            "https://[::1/",
            'https://shop.example/"><script>',
            "https://shop.example%2eevil.example/",
            "https://shop.example/" + "a" * MAX_LENGTH,
        ],
    )
    def test_refuses_everything_a_browser_might_read_as_another_place(self, url: str) -> None:
        """Foreign hosts, tricks with user names, backslashes and control characters are all one refusal."""
        with pytest.raises(InvalidRequest) as refused:
            LISTED.check(url)

        assert refused.value.errors[0].pointer == "/return_url"

    @pytest.mark.parametrize("policy", [ReturnUrlPolicy(), ReturnUrlPolicy(allow_loopback_http=True)])
    @given(data=st.data())
    def test_its_pattern_is_what_is_checked(self, policy: ReturnUrlPolicy, data: st.DataObject) -> None:
        """Where any host will do, a URL of the pattern is allowed, and a text that is not of it is refused."""
        url = data.draw(st.from_regex(policy.pattern, fullmatch=True, alphabet=st.characters(codec="ascii")))
        text = data.draw(st.text(st.sampled_from("https:/.@[]\\?#%a1 "), max_size=30).map("https://".__add__))

        if len(url) <= MAX_LENGTH:
            assert policy.check(url) == url
        if not re.fullmatch(policy.pattern, text):
            with pytest.raises(InvalidRequest):
                policy.check(text)

    def test_an_address_is_listed_without_its_brackets(self) -> None:
        """As a list of hosts names it; in any case."""
        policy = ReturnUrlPolicy(hosts=frozenset({"2001:db8::a"}))

        assert policy.check("https://[2001:DB8::A]:8443/back")
        with pytest.raises(InvalidRequest):
            policy.check("https://[2001:db8::b]/back")

    @pytest.mark.parametrize(
        "url", ["https://shop.example:/", "https://shop.example[::1]/", "http://evil.example[::1]/"]
    )
    def test_what_parsers_read_in_two_ways_is_refused(self, url: str) -> None:
        """A colon without a port, and a host before an address, also where this machine is allowed."""
        with pytest.raises(InvalidRequest):
            DEVELOPMENT.check(url)

    @given(st.text(max_size=60))
    def test_never_fails_on_any_text(self, url: str) -> None:
        """Whatever is sent, the answer is yes or InvalidRequest."""
        with suppress(InvalidRequest):
            LISTED.check("https://" + url)
