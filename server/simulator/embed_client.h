// A client that embeds texts beside a scenario's run. It repeats each request until it is answered, also by the next
// incarnation of the server.
#pragma once

#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/llm/embed.h"
#include "server/simulator/scenario_runner.h"

namespace millrace::simulator {

class EmbedClient {
 public:
  // All outlive it.
  EmbedClient(Embeddings::Deps deps, const Scenario& scenario, ScenarioResult& result)
      : loop_(deps.loop), embeddings_(deps), scenario_(scenario), result_(result) {}

  // Asks what no incarnation before has answered.
  Task<void> Run();
  // Resumes when all are answered, and asks for all their texts once more: nothing that a crash has left behind stays.
  Task<void> Finish();

 private:
  Task<void> Ask(std::vector<std::string> texts);

  Loop& loop_;
  Embeddings embeddings_;
  const Scenario& scenario_;
  ScenarioResult& result_;
};

}  // namespace millrace::simulator
