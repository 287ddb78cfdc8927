"""The tables. `migrations/` builds them; a test holds that both say the same."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite numbers rows by itself only in a column called exactly INTEGER.
_Key = BigInteger().with_variant(Integer, "sqlite")

sources = Table(
    "sources",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False, unique=True),
    # Number of the last change. A writer holds this row's lock until it commits, so that numbers become
    # visible in their order; see docs/adr/0002.
    Column("head", BigInteger, nullable=False),
    # Cursors below this cannot be continued: what was removed up to here is forgotten.
    Column("resume_from", BigInteger, nullable=False),
    Column("recordings", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    # Never shrinks: bounds how far before a window a recording that reaches into it can begin.
    Column("longest_us", BigInteger, nullable=False),
    Column("stored_at_us", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),  # JSON array: every label that ever had an event here
)

recordings = Table(
    "recordings",
    metadata,
    Column("id", Uuid, primary_key=True),  # version 7: sorts by the time of storing
    Column("source_id", _Key, ForeignKey("sources.id"), nullable=False),
    Column("recorded_at_us", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("stored_at_us", BigInteger, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),  # the analysis without curves: see codec.py
    UniqueConstraint("source_id", "recorded_at_us", "digest"),
    Index(None, "source_id", "seq"),
)

# Apart from `recordings`, whose rows stay small for scans.
curves = Table(
    "curves",
    metadata,
    Column("recording_id", Uuid, ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True),
    Column("header", Text, nullable=False),
    Column("attention", LargeBinary, nullable=False),
    Column("localization", LargeBinary, nullable=False),
    Column("presence", LargeBinary, nullable=False),
)

# What each recording contributes to the timeline; `events` is made of these and can be made anew.
parts = Table(
    "parts",
    metadata,
    Column("recording_id", Uuid, ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("source_id", _Key, ForeignKey("sources.id"), nullable=False),
    Column("label", Text, nullable=False),
    Column("onset_us", BigInteger, nullable=False),
    Column("offset_us", BigInteger, nullable=False),
    Column("confidence", Double, nullable=False),
    Index(None, "source_id", "label", "onset_us"),
)

# Of one source and label no two rows overlap, which is what makes window queries cheap.
events = Table(
    "events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("source_id", _Key, ForeignKey("sources.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("recording_id", Uuid, nullable=False),
    Column("label", Text, nullable=False),
    Column("onset_us", BigInteger, nullable=False),
    Column("offset_us", BigInteger, nullable=False),
    Column("confidence", Double, nullable=False),
    UniqueConstraint("source_id", "seq"),
    Index(None, "source_id", "label", "onset_us", "seq"),
)

removals = Table(
    "removals",
    metadata,
    Column("source_id", _Key, ForeignKey("sources.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Uuid, nullable=False),
    Column("removed_at_us", BigInteger, nullable=False),
)

# What API keys have used up: here because this is what replicas share. PostgreSQL alone counts in it,
# outside of its log: after a crash it begins anew. See buckets.py.
quotas = Table(
    "quotas",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("full_at_us", BigInteger, nullable=False),
    Column("wait_us", BigInteger, nullable=False),  # what the last to ask was told; 0 let it through
)
