#include "server/llm/schema_cache.h"

#include <utility>

#include "backends/sdk/schema.h"

namespace millrace {
namespace {

constexpr size_t kSchemasMax = 64;
// A schema takes far longer to compile than JSON of its length to parse.
constexpr size_t kInlineSchemaBytesMax = 4u << 10;

// Returns whether a schema is compiled quickly: it is short, and has no patterns and no references, which multiply.
bool IsCheap(const std::string& text) {
  return text.size() <= kInlineSchemaBytesMax && text.find("attern") == std::string::npos &&
         text.find("$ref") == std::string::npos;
}

StatusOr<SchemaPtr> Compile(const std::string& text) {
  MR_ASSIGN_OR_RETURN(Schema schema, Schema::Parse(text));
  return std::make_shared<const CompiledSchema>(
      CompiledSchema{.schema = std::move(schema), .for_providers = backend::WithoutLocalAnnotations(text)});
}

}  // namespace

Task<StatusOr<SchemaPtr>> SchemaCache::Get(std::string text) {
  if (text.empty()) co_return SchemaPtr();
  if (const auto found = schemas_.find(text); found != schemas_.end()) co_return found->second;
  if (const auto found = compiling_.find(text); found != compiling_.end()) {
    const Compiling other = found->second;
    co_await other->Wait();
    co_return other->value();
  }
  StatusOr<SchemaPtr> schema = SchemaPtr();
  if (IsCheap(text)) {
    schema = Compile(text);
  } else {
    const auto compiling = std::make_shared<Promise<StatusOr<SchemaPtr>>>(loop_);
    compiling_.emplace(text, compiling);
    auto compile = [text] { return Compile(text); };
    schema = co_await Compute(loop_, pool_, std::move(compile));
    compiling_.erase(text);
    compiling->Set(schema);
  }
  if (schema.ok()) {
    if (schemas_.size() >= kSchemasMax) schemas_.clear();
    schemas_.emplace(std::move(text), *schema);
  }
  co_return schema;
}

}  // namespace millrace
