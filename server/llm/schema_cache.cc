#include "server/llm/schema_cache.h"

#include <utility>

#include "backends/sdk/schema.h"

namespace millrace {
namespace {

constexpr size_t kSchemasMax = 64;
// A schema takes far longer to compile than JSON of its length to parse.
constexpr size_t kInlineSchemaBytesMax = 4u << 10;

StatusOr<SchemaPtr> Compile(const std::string& text) {
  MR_ASSIGN_OR_RETURN(Schema schema, Schema::Parse(text));
  return std::make_shared<const CompiledSchema>(
      CompiledSchema{.schema = std::move(schema), .for_providers = backend::WithoutLocalAnnotations(text)});
}

}  // namespace

Task<StatusOr<SchemaPtr>> SchemaCache::Get(std::string text) {
  if (text.empty()) co_return SchemaPtr();
  if (const auto found = schemas_.find(text); found != schemas_.end()) co_return found->second;
  StatusOr<SchemaPtr> schema = SchemaPtr();
  if (text.size() <= kInlineSchemaBytesMax) {
    schema = Compile(text);
  } else {
    auto compile = [text] { return Compile(text); };
    schema = co_await Compute(loop_, pool_, std::move(compile));
  }
  if (schema.ok()) {
    if (schemas_.size() >= kSchemasMax) schemas_.clear();
    schemas_.emplace(std::move(text), *schema);
  }
  co_return schema;
}

}  // namespace millrace
