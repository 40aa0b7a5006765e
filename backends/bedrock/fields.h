// Members of Bedrock's JSON, read leniently: a member of another type is as good as absent.
#pragma once

#include <boost/json/fwd.hpp>
#include <boost/json/string.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::backend::bedrock {

// Returns a text as Boost.JSON's string.
boost::json::string JsonText(std::string_view text);

// Returns the text at a path (FindPath); empty if there is none.
std::string TextAt(const boost::json::value& value, std::string_view path);

// Returns the count at a path; nullopt if there is none, or if it is negative, a fraction or absurdly large.
std::optional<int64_t> CountAt(const boost::json::value& value, std::string_view path);

}  // namespace millrace::backend::bedrock
