#include "server/simulator/embed_client.h"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace millrace::simulator {
namespace {

constexpr Duration kPause = std::chrono::milliseconds(100);

}  // namespace

Task<void> EmbedClient::Run() {
  while (result_.embedded.size() < scenario_.embeds.size() && result_.problem.empty()) {
    std::vector<std::string> texts = scenario_.embeds[result_.embedded.size()];
    co_await Ask(std::move(texts));
  }
}

Task<void> EmbedClient::Finish() {
  if (scenario_.embeds.empty()) co_return;
  while (result_.embedded.size() < scenario_.embeds.size() && result_.problem.empty()) co_await loop_.Sleep(kPause);
  std::set<std::string> all;
  for (const std::vector<std::string>& texts : scenario_.embeds) all.insert(texts.begin(), texts.end());
  std::vector<std::string> texts(all.begin(), all.end());
  if (result_.problem.empty()) co_await Ask(std::move(texts));
}

Task<void> EmbedClient::Ask(std::vector<std::string> texts) {
  v1::EmbedRequest request;
  request.set_model("writer");
  for (const std::string& text : texts) request.add_texts(text);
  while (true) {
    CallContext context;
    v1::EmbedRequest again = request;
    StatusOr<v1::EmbedResponse> response = co_await embeddings_.Embed(std::move(context), std::move(again));
    if (response.ok()) {
      result_.embedded.push_back({.texts = std::move(texts), .response = *std::move(response)});
      co_return;
    }
    if (response.status().code() == absl::StatusCode::kInvalidArgument) {
      result_.problem = fmt::format("Embed: {}", response.status().ToString());
      co_return;
    }
    co_await loop_.Sleep(kPause);
  }
}

}  // namespace millrace::simulator
