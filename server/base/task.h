// Task<T>: a coroutine on the loop's thread. Other headers of Asio are included by .cc files only.
//
// Three bugs of GCC 12 shape our code:
// - It awaits `b()` in `while (a && co_await b())` even if `a` is false. Await in a separate statement.
// - It corrupts the frame in `if (!co_await b()) co_return;`. Write `if (const bool done = co_await b(); !done)
// co_return;`.
// - It destroys an aggregate or capturing lambda that is created inside `co_await f(...)` twice. Give it a name, then
// std::move it.
//
// Parameters of a coroutine are values, or references to objects that outlive the call.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>

namespace millrace {

template <typename T>
using Task = boost::asio::awaitable<T>;

}  // namespace millrace
