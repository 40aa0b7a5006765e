// What the engine needs of the call layer: answers to calls, and a desk to ask about them.
#pragma once

#include "server/llm/call.h"
#include "server/llm/model_directory.h"
