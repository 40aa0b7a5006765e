// Reading of JSON Schemas for backends that generate answers: the schema at a place and its type. Takes the simplest
// reading (the first alternative); the generated answer is checked afterwards like any other.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

namespace millrace::backend {

// Returns the schema at `node` inside the whole schema `root`, with references followed and the first of alternatives
// taken. Never null; an endless or broken reference gives an empty schema.
const boost::json::object* SchemaAt(const boost::json::value& root, const boost::json::value& node);

// Returns `object`, `array`, `string`, `integer`, `number`, `boolean` or `null`: the first type that is not null;
// without a type, the one that its other keywords imply; else `string`.
std::string_view TypeOf(const boost::json::object& schema);

// Returns a keyword's whole number from 0 to 1,000,000; else `otherwise`.
int64_t CountOf(const boost::json::object& schema, std::string_view keyword, int64_t otherwise);

// Returns the first `characters` characters of UTF-8 text, cut at a space if its second half has one.
std::string CutAt(std::string_view text, int64_t characters);

// Removes the annotation `x-millrace-local`, which no provider knows; members keep their order.
std::string WithoutLocalAnnotations(std::string_view schema);

}  // namespace millrace::backend
