"""Keys of users: read strictly, told to nobody."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from billing_adapters.nats.nkeys import InvalidSeed, UserKey

# The sample of NATS' documentation (nkey authentication): not ours, and anybody's.
SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
ACCOUNT_SEED = "SAAC" + SEED[4:]


class TestUserKey:
    def test_the_documentations_seed_has_the_documentations_public_key(self) -> None:
        """What NATS' own tool makes of a seed, this makes of it."""
        assert UserKey.from_seed(SEED).public == PUBLIC

    def test_a_seed_comes_back_as_it_was(self) -> None:
        """Also one that was made here."""
        made = UserKey.generate()

        assert (UserKey.from_seed(SEED).seed, UserKey.from_seed(made.seed).public) == (SEED, made.public)

    def test_two_are_never_the_same(self) -> None:
        """A new key is nobody else's."""
        assert UserKey.generate().public != UserKey.generate().public

    def test_signs_for_its_public_key(self) -> None:
        """A signature is good for the key and what was signed, and for nothing else."""
        key = UserKey.generate()
        public = Ed25519PublicKey.from_public_bytes(base64.b32decode(key.public)[1:33])
        signature = base64.b64decode(key.sign("nonce"))

        public.verify(signature, b"nonce")
        with pytest.raises(InvalidSignature):
            public.verify(signature, b"another")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "SU",
            PUBLIC,
            ACCOUNT_SEED,
            SEED.lower(),
            SEED[:-1],
            SEED + "A",
            SEED.replace("X", "Y", 1),
            SEED[:-1] + "Z",
            "not base32!",
            "\u017f" + SEED[1:],
            "SU" + "A" * 56,
        ],
        ids=repr,
    )
    def test_what_is_no_seed_of_a_user_is_refused(self, text: str) -> None:
        """Another kind of key, a letter too many, too few or another one; and it is not told what it was."""
        with pytest.raises(InvalidSeed) as refused:
            UserKey.from_seed(text)

        assert len(text) < 5 or text not in str(refused.value)
        assert refused.value.__cause__ is None
