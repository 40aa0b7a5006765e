// Conversions of values by SQLite, by the declared types of columns (https://www.sqlite.org/datatype3.html, 3.1
// to 3.3). They are silent: a column of type INTEGER makes 7 of the text "007".
#pragma once

#include <string_view>

#include "server/stages/store/sqlite_database.h"

namespace millrace::store {

enum class Affinity { kNone, kText, kInteger, kReal, kNumeric };

// Returns the affinity of a column by its declared type, which may be empty.
Affinity AffinityOf(std::string_view declared_type);

// Returns true if a column of this affinity stores the value so that the same value is read: the same text, or the same
// number, be it stored as an integer or as a real. NULL is always kept.
bool KeepsValue(Affinity affinity, const SqlValue& value);

}  // namespace millrace::store
