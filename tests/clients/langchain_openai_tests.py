#!/usr/bin/env python3
"""LangChain's standard integration tests for chat models, with langchain-openai against `verge
serve`, unmodified.

    python tests/clients/langchain_openai_tests.py    # needs: pip install langchain-openai
                                                      # langchain-tests

Images, audio and files are left out, and any JSON object (json mode), of which the built-in model
would write one without end. Where the model has to understand what it is asked, it fails; these have
their reasons below.
"""
import pathlib
import sys

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import server  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def url():
    with server.running("--ctx", "2048") as at:
        TestVerge.url = at
        yield at


class TestVerge(ChatModelIntegrationTests):
    url = ""

    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return {"model": "verge", "base_url": self.url + "/v1", "api_key": "none",
                "max_tokens": 300, "temperature": 0, "max_retries": 0, "stream_usage": True,
                "model_kwargs": {"parallel_tool_calls": False}}

    @property
    def supports_image_inputs(self):
        return False

    @property
    def has_tool_choice(self):
        return True

    @pytest.mark.xfail(reason="the model has to pass the number that it is asked for")
    def test_tool_calling(self, model):
        super().test_tool_calling(model)

    @pytest.mark.xfail(reason="the model has to pass the number that it is asked for")
    async def test_tool_calling_async(self, model):
        await super().test_tool_calling_async(model)

    @pytest.mark.xfail(reason="the model has to choose by itself to call a tool, and to answer from it")
    def test_agent_loop(self, model):
        super().test_agent_loop(model)

    @pytest.mark.xfail(reason="the model has to repeat a Chinese name, and knows English stories alone")
    def test_unicode_tool_call_integration(self, model):
        super().test_unicode_tool_call_integration(model)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto",
                          "-o", "asyncio_default_test_loop_scope=session"]))
