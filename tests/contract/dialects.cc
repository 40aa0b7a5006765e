#include "tests/contract/bedrock_dialect.h"
#include "tests/contract/example_backend.h"
#include "tests/contract/ollama_dialect.h"
#include "tests/contract/openai_dialect.h"
#include "tests/contract/remote_dialect.h"

namespace millrace::backend {

std::vector<NamedDialect> Dialects() {
  return {{"Bedrock", WholeBedrockDialect}, {"BedrockStream", StreamedBedrockDialect},
          {"Example", ExampleDialect},      {"Ollama", StreamedOllamaDialect},
          {"Openai", WholeOpenaiDialect},   {"OpenaiStream", StreamedOpenaiDialect},
          {"Remote", RemoteDialect}};
}

std::string Joined(const Said& said) {
  std::string inside;
  for (const std::string& piece : said.pieces) inside += piece;
  return inside;
}

std::string Quoted(const std::string& inside) { return '"' + inside + '"'; }

}  // namespace millrace::backend
