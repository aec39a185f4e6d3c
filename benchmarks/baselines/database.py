"""The ORM's engine and sessions of a worker or a job."""

import os

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

engine = create_async_engine(os.environ["BILLING_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"))
sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(engine, expire_on_commit=False)
