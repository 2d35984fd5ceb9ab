import * as z from 'zod/mini';
import { described } from '../described.ts';
import {
  askedBuildId,
  buildDetailsSchema,
  buildId,
  buildLogSchema,
  buildStatuses,
  buildSummarySchema,
  imageId,
  imageSchema,
  matrixDetailsSchema,
  pages,
  regionName,
  releaseSchema,
  startBuildSchema,
  startedBuildSchema,
  subscriptionSchema,
} from './schemas.ts';

/** In query strings everything is text. */
const wholeNumber = (least: number, most: number) =>
  z.pipe(
    z.pipe(z.string().check(z.regex(/^\d{1,6}$/)), z.transform(Number)),
    z.int().check(z.gte(least), z.lte(most)),
  );

const page = {
  limit: described(z.optional(wholeNumber(1, 100)), 'How many at most: 1 to 100. Default: 20.'),
  nextToken: described(z.optional(z.string().check(z.maxLength(4096))), 'From the page before.'),
};

const id = z.object({ id: askedBuildId });
const recipeName = described(
  z.string().check(z.regex(/^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$/)),
  'Name of a recipe.',
);

export interface ApiRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** As API Gateway and OpenAPI write it. */
  readonly path: string;
  readonly summary: string;
  readonly params?: z.ZodMiniObject;
  readonly query?: z.ZodMiniObject;
  readonly body?: z.ZodMiniType;
  /** The answer of success, by its status. */
  readonly answers: Readonly<Record<number, z.ZodMiniType>>;
}

/** Every route, by the name of the function that answers it. */
export const apiRoutes = {
  'start-build': {
    method: 'POST',
    path: '/builds',
    summary: 'Start a build, or all builds of a matrix. The same recipe while its build runs is that build.',
    body: startBuildSchema,
    answers: { 200: startedBuildSchema, 202: startedBuildSchema },
  },
  'list-builds': {
    method: 'GET',
    path: '/builds',
    summary: 'Builds, the newest first.',
    query: z.object({ ...page, status: z.optional(z.enum(buildStatuses)) }),
    answers: { 200: z.object({ builds: z.array(buildSummarySchema), ...pages }) },
  },
  'show-build': {
    method: 'GET',
    path: '/builds/{id}',
    summary: 'All that is known of a build.',
    params: id,
    answers: { 200: buildDetailsSchema },
  },
  'resume-build': {
    method: 'POST',
    path: '/builds/{id}/resume',
    summary: 'Start a build that failed or was stopped once more; it takes over what that one left whole.',
    params: id,
    answers: { 200: startedBuildSchema, 202: startedBuildSchema },
  },
  'abort-build': {
    method: 'DELETE',
    path: '/builds/{id}',
    summary: 'Stop a build; all it made goes.',
    params: id,
    answers: { 202: z.object({ id: buildId, status: z.enum(buildStatuses) }) },
  },
  'show-matrix': {
    method: 'GET',
    path: '/matrices/{id}',
    summary: 'How far the builds of a matrix have come.',
    params: id,
    answers: { 200: matrixDetailsSchema },
  },
  'abort-matrix': {
    method: 'DELETE',
    path: '/matrices/{id}',
    summary: 'Stop a matrix and all its builds; all they made goes, and readers see what they saw before.',
    params: id,
    answers: { 202: z.object({ id: buildId, status: z.enum(buildStatuses) }) },
  },
  'build-log': {
    method: 'GET',
    path: '/builds/{id}/log',
    summary: 'The console of the worker, or of a machine of the boot test.',
    params: id,
    query: z.object({
      source: z.optional(z.string().check(z.regex(/^(worker|boot-[a-z0-9-]+\.[a-z0-9-]+)$/))),
    }),
    answers: { 200: buildLogSchema },
  },
  'list-images': {
    method: 'GET',
    path: '/images',
    summary: 'Images of the factory, in all its regions or in one.',
    query: z.object({ ...page, region: z.optional(regionName), recipe: z.optional(recipeName) }),
    answers: { 200: z.object({ images: z.array(imageSchema), ...pages }) },
  },
  'retire-image': {
    method: 'POST',
    path: '/images/{imageId}/retire',
    summary: 'Put an image and its copies away, unless somebody uses them; they are deleted later.',
    params: z.object({ imageId }),
    answers: {
      200: z.object({
        imageId,
        /** What was put away, and what was kept with the reason. */
        quarantined: z.array(z.object({ region: regionName, imageId })),
        kept: z.array(z.object({ region: regionName, imageId, reason: z.string() })),
        undo: described(z.string(), 'A line for a shell that takes it back.'),
      }),
    },
  },
  'list-releases': {
    method: 'GET',
    path: '/releases',
    summary: 'Releases that the watcher has seen on the mirror.',
    answers: {
      200: z.object({ checkedAt: z.nullable(z.iso.datetime()), releases: z.array(releaseSchema) }),
    },
  },
  'list-subscriptions': {
    method: 'GET',
    path: '/subscriptions',
    summary: 'Recipes that are built when a release appears, by their names.',
    query: z.object(page),
    answers: { 200: z.object({ subscriptions: z.array(subscriptionSchema), ...pages }) },
  },
  subscribe: {
    method: 'PUT',
    path: '/subscriptions/{name}',
    summary: 'Have a recipe built when a release appears that its `subscribe` asks for.',
    params: z.object({ name: recipeName }),
    body: z.strictObject({ recipe: z.record(z.string(), z.unknown()) }),
    answers: { 200: subscriptionSchema, 201: subscriptionSchema },
  },
  unsubscribe: {
    method: 'DELETE',
    path: '/subscriptions/{name}',
    summary: 'Build it no more on its own.',
    params: z.object({ name: recipeName }),
    answers: { 200: z.object({ name: recipeName }) },
  },
  'openapi-document': {
    method: 'GET',
    path: '/openapi.json',
    summary: 'This API as OpenAPI 3.1.',
    answers: { 200: z.record(z.string(), z.unknown()) },
  },
} as const satisfies Readonly<Record<string, ApiRoute>>;

export type RouteName = keyof typeof apiRoutes;
type Route<Name extends RouteName> = (typeof apiRoutes)[Name];

/** What a caller gives to a route. */
export type RouteCall<Name extends RouteName> = (Route<Name> extends {
  params: infer Params extends z.ZodMiniType;
}
  ? { readonly params: z.input<Params> }
  : { readonly params?: undefined }) &
  (Route<Name> extends { query: infer Query extends z.ZodMiniType }
    ? { readonly query?: Readonly<Record<string, string | undefined>> & Partial<z.input<Query>> }
    : { readonly query?: undefined }) &
  (Route<Name> extends { body: infer Body extends z.ZodMiniType }
    ? { readonly body: z.input<Body> }
    : { readonly body?: undefined });

/** What a route answers when all is well. */
export type RouteAnswer<Name extends RouteName> = z.output<
  Route<Name>['answers'][keyof Route<Name>['answers']] & z.ZodMiniType
>;

/** What the function of a route is handed: what the caller gave, read by the route's schemas. */
export type RouteRequest<Name extends RouteName> = {
  /** API Gateway's id of the request. */
  readonly requestId: string;
} & (Route<Name> extends { params: infer Params extends z.ZodMiniType }
  ? { readonly params: z.output<Params> }
  : unknown) &
  (Route<Name> extends { query: infer Query extends z.ZodMiniType }
    ? { readonly query: z.output<Query> }
    : unknown) &
  (Route<Name> extends { body: infer Body extends z.ZodMiniType }
    ? { readonly body: z.output<Body> }
    : unknown);

/** What it gives back: a status of the route, and an answer for the schema of that status. */
export type RouteReply<Name extends RouteName> = {
  [Status in keyof Route<Name>['answers']]: {
    readonly status: Status;
    readonly body: z.input<Route<Name>['answers'][Status] & z.ZodMiniType>;
  };
}[keyof Route<Name>['answers']];
