// An item with its JSON as a value. The engine parses an item once for a stage, on the pool: a kind never does.
#pragma once

#include <boost/json/value.hpp>

#include "server/stages/item.h"

namespace millrace {

// Input item of a stage that works on items one by one.
struct ParsedItem {
  InputItem item;
  boost::json::value value;  // `item.json` parsed, an object; belongs to the stage, which may take it apart
};

}  // namespace millrace
