/** access/restrictions/check-server-access.ts: the fifteen words `check_{client,reverse_client_hostname,helo,sender,recipient}_
 *  {a,mx,ns}_access type:table`: who is asked about here, what is asked in server-hosts.ts. */
import { formatClient } from "../../mail/client.ts";
import type { Facts } from "../access.ts";
import { DUNNO, type Word } from "../restriction.ts";
import { ServerHosts, type ServerQuestion, type ServerType } from "../server-hosts.ts";

type QuestionOf = (facts: Facts) => ServerQuestion | undefined;

const QUESTIONS: Readonly<Record<string, QuestionOf>> = {
  client({ client }) {
    if (client.name === "unknown") return undefined;
    return {
      name: client.name,
      target: client.name,
      subject: { name: formatClient(client), replyClass: "Client host" },
    };
  },
  reverse_client_hostname({ client: { reverseName } }) {
    if (reverseName === "unknown") return undefined;
    return {
      name: reverseName,
      target: reverseName,
      subject: { name: reverseName, replyClass: "Unverified Client host" },
    };
  },
  helo({ helo }) {
    return helo === undefined
      ? undefined
      : { name: helo, target: helo, subject: { name: helo, replyClass: "Helo command" } };
  },
  sender({ sender }) {
    if (sender === undefined || sender === "") return undefined;
    return { name: sender, target: sender, subject: { name: sender, replyClass: "Sender address" } };
  },
  recipient({ recipient }) {
    if (recipient === undefined || recipient === "") return undefined;
    return { name: recipient, target: recipient, subject: { name: recipient, replyClass: "Recipient address" } };
  },
};

const TYPES: readonly ServerType[] = ["A", "MX", "NS"];

export const SERVER_ACCESS_WORDS: readonly Word[] = Object.entries(QUESTIONS).flatMap(([who, questionOf]) =>
  TYPES.map((type) => serverAccess(`check_${who}_${type.toLowerCase()}_access`, type, questionOf)),
);

function serverAccess(name: string, type: ServerType, questionOf: QuestionOf): Word {
  return {
    names: [name],
    argument: "table",
    build(services, rule) {
      const hosts = new ServerHosts(type, services, rule);
      return (context) => {
        const question = questionOf(context.facts);
        return question === undefined ? DUNNO : hosts.check(question, context);
      };
    },
  };
}
