// What a backend that makes answers itself must know of a JSON Schema: which schema is meant at a place, and of what
// type. It takes the simplest reading (the first alternative); what was made is checked afterwards like any answer.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

namespace millrace::backend {

// The schema at `node` of the whole schema `root`: references followed, of alternatives the first. Never null; an
// endless or broken reference gives a schema that says nothing.
const boost::json::object* SchemaAt(const boost::json::value& root, const boost::json::value& node);

// `object`, `array`, `string`, `integer`, `number`, `boolean` or `null`; of several the first that is not null; without
// a type what its other keywords say; else `string`.
std::string_view TypeOf(const boost::json::object& schema);

// A keyword that is a whole number within 0 and 1,000,000; else `otherwise`.
int64_t CountOf(const boost::json::object& schema, std::string_view keyword, int64_t otherwise);

// The first `characters` characters of UTF-8 text, cut at a space where there is one in its second half.
std::string CutAt(std::string_view text, int64_t characters);

// The schema without the annotation `x-millrace-local`, which is for no provider; its members stay in order.
std::string WithoutLocalAnnotations(std::string_view schema);

}  // namespace millrace::backend
