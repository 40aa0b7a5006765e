// Compiled schemas of answers. All calls of a stage have the same schema: it is parsed once, not for each call.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/text/schema.h"

namespace millrace {

struct CompiledSchema {
  Schema schema;
  std::string for_providers;  // the text without the annotations that only the backend `local` reads
};
using SchemaPtr = std::shared_ptr<const CompiledSchema>;

// Engine thread only. Keeps at most 64 schemas, and begins again when these are full: more stages with a schema than
// that rarely run at once, and a schema is parsed in well under a millisecond.
class SchemaCache {
 public:
  SchemaCache(Loop& loop, Pool& pool) : loop_(loop), pool_(pool) {}

  // Returns the compiled schema of a text; null for the empty text. INVALID_ARGUMENT (INVALID_FIELD) with what is wrong
  // where. Only a text whose cost is known to be small is parsed at once, others on the pool; callers that ask for one
  // text together share the work.
  Task<StatusOr<SchemaPtr>> Get(std::string text);

 private:
  Loop& loop_;
  Pool& pool_;
  using Compiling = std::shared_ptr<Promise<StatusOr<SchemaPtr>>>;
  std::map<std::string, SchemaPtr, std::less<>> schemas_;    // by text
  std::map<std::string, Compiling, std::less<>> compiling_;  // by text
};

}  // namespace millrace
