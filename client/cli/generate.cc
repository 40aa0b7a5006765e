// Command `generate`.
#include <fmt/format.h>

#include <iostream>
#include <sstream>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "server/base/text_file.h"

namespace millrace::cli {
namespace {

constexpr size_t kMessagesBytesMax = 4u << 20;  // limit of a GenerateRequest
constexpr size_t kSchemaMibMax = 4;

struct GenerateArguments {
  std::string model;
  std::string prompt;
  std::string system;
  std::string schema;
  int32_t max_tokens = 0;
  int64_t sample = 0;
  double timeout_seconds = 600;
};

std::string ReadAll(std::istream& in) {
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

int Generate(Session& session, const GenerateArguments& arguments) {
  v1::GenerateRequest request;
  request.set_model(arguments.model);
  if (!arguments.system.empty()) {
    v1::Message* message = request.add_messages();
    message->set_role("system");
    message->set_content(arguments.system);
  }
  v1::Message* message = request.add_messages();
  message->set_role("user");
  message->set_content(arguments.prompt == "-" ? ReadAll(std::cin) : arguments.prompt);
  if (Status status = CheckUtf8("standard input", message->content()); !status.ok()) return PrintError(status);
  const size_t bytes = arguments.system.size() + message->content().size();
  if (bytes > kMessagesBytesMax) {
    return PrintError(MakeError(
        Reason::kInvalidField, fmt::format("the prompt and the system message have {} bytes; at most 4 MiB are allowed",
                                           Count(static_cast<int64_t>(bytes)))));
  }
  if (!arguments.schema.empty()) {
    StatusOr<std::string> schema = ReadTextFile(arguments.schema, kSchemaMibMax);
    if (!schema.ok()) return PrintError(WithContext(schema.status(), "--schema"));
    if (Status status = CheckUtf8("--schema", *schema); !status.ok()) return PrintError(status);
    request.set_output_schema(*std::move(schema));
  }
  request.set_max_tokens(arguments.max_tokens);
  request.set_sample_number(arguments.sample);
  const StatusOr<client::Client*> client = session.Connect();
  if (!client.ok()) return PrintError(client.status());
  (*client)->SetTimeout(std::chrono::nanoseconds(static_cast<int64_t>(arguments.timeout_seconds * 1e9)));
  session.OnInterrupt([&client] { (*client)->Interrupt(); });
  const StatusOr<v1::GenerateResponse> response = (*client)->Generate(request);
  if (!response.ok()) return PrintError(response.status());
  if (session.json()) {
    PrintJson(*response);
    return kDone;
  }
  // Print the answer without decoration, because the output may be redirected. Escape each line, because an answer must
  // not control the terminal.
  std::istringstream lines(response->text());
  for (std::string line; std::getline(lines, line);) std::cout << Safe(line, SIZE_MAX) << "\n";
  std::cerr << fmt::format("{}/{}{}, {} + {} tokens\n", Safe(response->backend()), Safe(response->model()),
                           response->cache_hit() ? ", cached" : "", Count(response->input_tokens()),
                           Count(response->output_tokens()));
  return kDone;
}

}  // namespace

void AddGenerateCommand(CLI::App& app, Session& session, int& exit) {
  const auto arguments = std::make_shared<GenerateArguments>();
  CLI::App* generate = AddCommand(app, "generate", "Ask a model once; a repeated question is answered from memory",
                                  "  millrace generate local \"What is a mill race?\"\n"
                                  "  millrace generate writer - --schema answer.schema.json < prompt.txt");
  generate->add_option("MODEL", arguments->model, "Alias of the model")->required();
  generate->add_option("PROMPT", arguments->prompt, "Prompt; - reads it from standard input")->required();
  generate->add_option("--system", arguments->system, "System message");
  generate->add_option("--schema", arguments->schema, "File with a JSON Schema that the answer must satisfy");
  generate->add_option("--max-tokens", arguments->max_tokens, "Limit of the answer in tokens (0: 1024)")
      ->check(WholeNumber(0, 1000000));
  generate
      ->add_option("--sample-number", arguments->sample, "Number of the sample; another number asks the question again")
      ->check(WholeNumber(0, kInt64Max));
  generate->add_option("--timeout", arguments->timeout_seconds, "Time limit in seconds")
      ->check(DecimalNumber(0.001, 86400))
      ->capture_default_str();
  generate->callback([&session, &exit, arguments] { exit = Generate(session, *arguments); });
}

}  // namespace millrace::cli
