// Task<T>: a coroutine on the loop's thread. Asio itself stays in .cc files.
//
// GCC 12 awaits `b()` in `while (a && co_await b())` even where `a` is false: await in a statement of its own. It
// ruins the frame in `if (!co_await b()) co_return;`: write `if (const bool held = co_await b(); !held) co_return;`. It
// also destroys twice an aggregate or capturing lambda that is created inside `co_await f(...)`: give it a name, then
// std::move it. Parameters of a coroutine are values or outlive the call.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>

namespace millrace {

template <typename T>
using Task = boost::asio::awaitable<T>;

}  // namespace millrace
