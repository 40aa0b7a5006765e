// Exchanges of long questions. Backend::Start is called on the engine's thread, and to write down a question of
// megabytes takes tens of milliseconds; the first input of a long question is given on another thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "backends/sdk/backend.h"

namespace millrace::backend {

// Returns the bytes of the texts in a question.
size_t QuestionBytes(const Question& question);

// Returns `begin(question)`: at once if the question is short, else an exchange that calls `begin`, with a copy of the
// question, when it gets its first input. Then `begin` may read only immutable state of its backend.
std::unique_ptr<Exchange> StartWhenUsed(const Question& question,
                                        std::function<std::unique_ptr<Exchange>(const Question&)> begin);

}  // namespace millrace::backend
